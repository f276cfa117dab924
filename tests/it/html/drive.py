# Opens pages in headless Chromium and says, as JSON, what it found there. Arguments: pages; or `--screenshots DIRECTORY PAGE`.
import json
import os
import sys
import time

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select


def browser(width=1200, height=900):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ["--headless=new", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]:
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.chrome.service.Service("/usr/bin/chromedriver")
    return webdriver.Chrome(options=options, service=service)


STATE = """
const map = document.querySelector('.map'), tops = [...map.querySelectorAll('.area[data-depth="1"]')];
const areas = map.querySelector('.areas'), box = areas.getBoundingClientRect();
const leaves = (area) => area[4] ? area[4].reduce((sum, part) => sum + leaves(part), 0) : area[1];
const count = (area) => area[4] ? area[4].reduce((sum, part) => sum + count(part), 0) : 1;
const root = map.treemap.path[0];
return {
  root: root[1], leaves: leaves(root), count: count(root), top: map.treemap.top[1],
  shown: tops.reduce((sum, area) => sum + Number(area.dataset.bytes), 0),
  covered: tops.reduce((sum, area) => sum + parseFloat(area.style.width) * parseFloat(area.style.height), 0) / (box.width * box.height),
  width: box.width, elements: areas.children.length, labels: tops.map((area) => area.getAttribute('aria-label')),
  crumbs: map.querySelectorAll('nav button').length, said: map.querySelector('.said').textContent,
  focused: document.activeElement.className, label: document.activeElement.getAttribute('aria-label'),
};
"""
TIMES = "return performance.getEntriesByName(arguments[0]).map((entry) => entry.duration);"


# Once the page has been laid out and whoever observes sizes was told.
SETTLED = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));"


def resized(driver, state):
    """The focus on the last area before and after the window is made smaller."""
    size = driver.get_window_size()
    driver.execute_script("const map = document.querySelector('.map'), all = map.querySelectorAll('.area[data-depth=\"1\"]');"
                          "map.treemap.focus(all[all.length - 1])")
    seen = [state()]
    driver.set_window_size(size["width"] - 400, size["height"] - 200)
    driver.execute_async_script(SETTLED)
    seen.append(state())
    driver.set_window_size(size["width"], size["height"])
    driver.execute_async_script(SETTLED)
    return seen


def look(driver, page):
    driver.get("file://" + os.path.abspath(page))
    driver.execute_async_script(SETTLED)
    state = lambda: driver.execute_script(STATE)
    seen = {"start": state(), "load_ms": driver.execute_script(TIMES, "pycull-load")[0]}
    seen["drawn"] = len(driver.execute_script(TIMES, "pycull-draw"))
    piece = driver.find_elements(By.CSS_SELECTOR, ".area.opens[data-depth='1']")[0]
    webdriver.ActionChains(driver).move_to_element_with_offset(piece, 0, 0).perform()
    seen["hovered"] = state()
    # In a corner, where nothing of what lies in it is.
    driver.execute_script("arguments[0].click()", piece)
    seen["clicked"] = state()
    keys = lambda *them: webdriver.ActionChains(driver).send_keys(*them).perform()
    keys(Keys.ESCAPE)
    seen["closed"] = state()
    keys(Keys.ARROW_RIGHT)
    seen["moved"] = state()
    keys(Keys.HOME, Keys.ENTER)
    seen["entered"] = state()
    seen["resized"] = resized(driver, state)
    keys(Keys.HOME)
    for _ in range(3):
        keys(Keys.ESCAPE, Keys.ENTER)
    seen["click_ms"] = driver.execute_script(TIMES, "pycull-open")
    keys(*[Keys.ENTER] * 6)
    seen["deepest"] = state()
    driver.execute_script("for (const details of document.querySelectorAll('details')) details.open = true")
    seen["filters"] = [filtered(driver, box) for box in driver.find_elements(By.CSS_SELECTOR, ".filter input")]
    seen["kinds"] = [chosen(driver, select) for select in driver.find_elements(By.CSS_SELECTOR, ".filter select")]
    seen["printed"] = printed(driver)
    seen["pwned"] = driver.execute_script("return window.pwned === undefined ? null : 'yes'")
    seen["requests"] = driver.execute_script("return performance.getEntriesByType('resource').map((it) => it.name)")
    seen["console"] = [entry["message"] for entry in driver.get_log("browser")]
    return seen


ROWS = """
const rows = arguments[0].closest('.filter').nextElementSibling.querySelectorAll('tbody tr');
return [...rows].filter((row) => row.offsetHeight > 0).map((row) => row.cells[0].textContent);
"""


def chosen(driver, select):
    """Of each kind that can be chosen: what it says, and the kinds of the rows that are shown then."""
    seen = []
    for option in Select(select).options[1:]:
        text = option.text
        Select(select).select_by_visible_text(text)
        seen.append([text, driver.execute_script(ROWS, select)])
    Select(select).select_by_index(0)
    return seen


def printed(driver):
    """What is on paper of what serves only to look around, and whether colours are."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    style = lambda selector, name: driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((it) => getComputedStyle(it)[arguments[1]])", selector, name)
    seen = {"tools": style(".filter, .map nav", "display"), "colors": style(".area, .legend i, .bar", "printColorAdjust")}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    return {name: sorted(set(values)) for name, values in seen.items()}


def filtered(driver, box):
    rows = lambda: len(driver.execute_script(ROWS, box))
    before = rows()
    box.send_keys("no such row")
    none = rows()
    box.clear()
    box.send_keys(Keys.SPACE)
    return [before, none, rows()]


def screenshots(directory, page):
    for width in [1200, 480]:
        driver = browser(width, 1400)
        for scheme in ["light", "dark"]:
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            driver.get("file://" + os.path.abspath(page))
            time.sleep(0.3)
            driver.save_screenshot(os.path.join(directory, f"report-{width}-{scheme}.png"))
        driver.quit()


def main():
    if sys.argv[1] == "--screenshots":
        return screenshots(sys.argv[2], sys.argv[3])
    driver = browser()
    try:
        print(json.dumps([look(driver, page) for page in sys.argv[1:]]))
    finally:
        driver.quit()


main()
