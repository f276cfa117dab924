class Lookup:
    def find(self, key):
        raise KeyError(key)

    def get(self, key, default=None):
        try:
            return self.find(key)
        except KeyError:
            return default

    def __contains__(self, key):
        try:
            self.find(key)
        except KeyError:
            return False
        return True
