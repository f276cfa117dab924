def push(heap, item):
    heap.append(item)
    place = len(heap) - 1
    while place:
        parent = (place - 1) >> 1
        if heap[parent] <= item:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = item


def pop(heap):
    last = heap.pop()
    if not heap:
        return last
    top, heap[0] = heap[0], last
    place, end = 0, len(heap)
    while True:
        child = 2 * place + 1
        if child >= end:
            break
        if child + 1 < end and heap[child + 1] < heap[child]:
            child += 1
        if last <= heap[child]:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = last
    return top


def merged(*streams):
    heap = []
    for order, stream in enumerate(map(iter, streams)):
        for item in stream:
            push(heap, (item, order, stream))
            break
    while heap:
        item, order, stream = pop(heap)
        yield item
        for item in stream:
            push(heap, (item, order, stream))
            break
