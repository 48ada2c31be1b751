# SPDX-License-Identifier: ISC
"""The dashboard, as somebody sees and uses it in a real browser. At the end of each test the browser must have had
nothing to complain of (a violated content policy would be that) and have asked nobody but dynapm."""

import json
import re
import threading

import pytest

pytest.importorskip("selenium", reason="python3-selenium is not installed")

from harness import browser as browsers
from harness import free_port, wait_for
from harness.browser import PHONE, Browser

TOKEN, LOOK = "correct-horse-battery-staple", "only-to-look"
pytestmark = pytest.mark.skipif(not browsers.available, reason="chromium-driver is not installed")


class Page:
    """The dashboard of a gateway, and browsers that look at it."""

    def __init__(self, chromium):
        self.chromium, self.port, self.browsers = chromium, free_port(), []

    def config(self, **admin):
        return {"adminApi": {"enabled": True, "listen": f"127.0.0.1:{self.port}", **admin}}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/_dynapm/"

    def look(self, fragment="", **kwargs):
        b = Browser(self.chromium, **kwargs)
        self.browsers.append(b)
        return b.open(self.url + fragment)

    def finish(self):
        problems = [problem for b in self.browsers for problem in b.finish()]
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browsers.launch(tmp_path_factory.mktemp("chromium") / "profile")
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, site):
    p = Page(chromium)
    yield p
    p.finish()


def live(b):
    b.wait_text("#link-word", "Live")
    return b


def gated(site, name="blog", **config):
    """A service that comes online only when a file is there: whoever looks sees it start."""
    gate = site.folder / f"open-{name}"
    return site.app(name=name, env={"START_AFTER": gate}, startTimeout="1min", **config), gate


def request(gw, path="/", host="blog"):
    """Asks in the background; returns the thread."""
    t = threading.Thread(target=gw.curl, args=(host, path))
    t.start()
    return t


# ── what happens is seen ──


def test_a_service_that_is_woken_and_sleeps_again_is_seen_to_do_so(site, page):
    blog, gate = gated(site, idleTimeout="2s")
    gw = site.gateway(blog, config=page.config())
    b = live(page.look())
    b.wait_state("blog", "offline")
    b.js("window.notReloaded = true")
    r = request(gw, "/post?id=1")
    b.wait_state("blog", "starting")
    b.wait(lambda: "1 waiting" in b.cell("blog", "open"), "the request that waits is counted")
    assert "GET /post" in b.cell("blog", "state")
    gate.touch()
    b.wait_state("blog", "online")
    r.join()
    b.wait(lambda: re.match(r"Idle stop\s+\ds|\ds", b.cell("blog", "idle")), "the time until it sleeps counts down")
    b.wait(lambda: b.cell("blog", "starts").startswith("1"), "the start is counted")
    b.wait_state("blog", "offline")
    assert b.js("return window.notReloaded")


def test_figures_and_charts_follow_the_requests(site, page):
    gw = site.gateway(site.app(idleTimeout="1h"), config=page.config())
    b = live(page.look())
    gw.curl("blog")
    b.wait_state("blog", "online")

    def busy():
        gw.curl("blog")
        text = b.cell("blog", "requests")
        return re.search(r"[1-9]/s", text)
    b.wait(busy, "requests a second are shown", timeout=60)
    b.wait(lambda: b.one(".row .c-requests .line").get_attribute("d"), "there is a line")
    b.wait(lambda: gw.curl("blog") and re.search(r"[1-9]", b.one("#sum-rate").text), "so they are of all together")


def test_latencies_and_memory_are_shown_where_they_are_known(site, page):
    gw = site.gateway(site.app(idleTimeout="1h"), config=page.config())
    b = live(page.look())
    gw.curl("blog")
    b.wait_state("blog", "online")

    def measured():
        gw.curl("blog")
        return re.search(r"[\d.]+(ms|s) · [\d.]+(ms|s)", b.cell("blog", "latency"))
    b.wait(measured, "the quantiles of the last minute are shown", timeout=60)
    b.wait(lambda: b.one(".row .c-latency .line.second").get_attribute("d"), "there is a line")
    b.wait(lambda: re.search(r"[\d.]+ MiB", b.cell("blog", "memory")), "so is what it needs")
    b.wait(lambda: b.one("#sum-memory").text != "–", "and what all of them do")
    b.click(".row .name")
    b.wait_text("#d-facts", "2xx")


def test_a_failed_start_says_why(site, page):
    gw = site.gateway(files={"bad.json": {"host": "bad.localhost", "base": "http://127.0.0.1:1",
                                          "exec": ["/nonexistent/program"]}}, config=page.config())
    b = live(page.look())
    b.operate("bad", "start")
    b.wait_state("bad", "failed")
    assert "/nonexistent/program" in b.cell("bad", "state")
    b.wait_text("#toasts", "Start of bad failed")
    b.click("#toasts button")
    b.wait(lambda: not b.all(".toast"), "the alert is gone")
    b.wait_text("#sum-awake-note", "1 failed")
    assert gw.find_log(r"bad: starting → failed")


def test_what_changed_is_told_to_screen_readers(site, page):
    gw = site.gateway(site.app(idleTimeout="1h"), config=page.config())
    b = live(page.look())
    b.js("""window.told = [];
            new MutationObserver(() => told.push(document.getElementById("live").textContent))
                .observe(document.getElementById("live"), {childList: true, characterData: true, subtree: true})""")
    gw.curl("blog")
    b.wait(lambda: any("blog is online" in t for t in b.js("return told")), "it is told that blog is online")


def test_the_drawer_tells_all_about_a_service(site, page):
    gw = site.gateway(site.app(idleTimeout="1h"), config=page.config())
    b = live(page.look())
    b.click(".row .name")
    assert b.wait_text("#d-name", "blog")
    gw.curl("blog")
    b.wait_text("#d-transitions", "starting → online")
    facts = b.one("#d-facts").text
    for what in ("Starts\n1", "Idle timeout\n1h", "Start timeout\n30s", f"Listens on\nhttp://127.0.0.1:", "Requests\n"):
        b.wait(lambda: what in b.one("#d-facts").text, f"{what!r} among the facts")
    assert re.search(r"Main process\n\d+", facts) or re.search(r"Main process\n\d+", b.one("#d-facts").text)
    b.js("history.back()")
    b.wait(lambda: not b.one("#details").is_displayed(), "back closes it")


def test_where_there_is_no_log_it_says_so(site, page):
    site.gateway(site.app(), config=page.config())
    b = live(page.look("#blog"))
    b.wait_text("#d-no-log", "There is no log to show")


def test_the_end_of_the_log_is_shown_and_follows(site, page):
    site.gateway(site.app(), config=page.config())
    b = live(page.look())
    b.cdp("Page.addScriptToEvaluateOnNewDocument", source="""
        const real = fetch;
        window.lines = [{time: 1767225600000, priority: 6, identifier: "blog", text: "listens"},
                        {time: 1767225601000, priority: 3, identifier: "blog", text: "<b>no</b> memory"}];
        window.fetch = (url, ...more) => url.includes("/logs?lines=")
            ? Promise.resolve(new Response(JSON.stringify({lines: window.lines}))) : real(url, ...more)""")
    b.driver.get(page.url + "#blog")
    b.driver.refresh()
    b.wait_text("#d-log", "<b>no</b> memory")
    assert b.one("#d-log .error").text.endswith("<b>no</b> memory")
    b.js("""for (let i = 0; i < 300; i++) window.lines.push({time: 1767225602000, priority: 6, text: `line ${i}`})""")
    b.wait_text("#d-log", "line 299")
    assert b.js("const log = document.getElementById('d-log'); "
                "return log.scrollTop + log.clientHeight >= log.scrollHeight - 2"), "its end is in sight"


def test_a_link_to_a_service_opens_its_drawer(site, page):
    site.gateway(site.app(), config=page.config())
    b = live(page.look("#blog"))
    b.wait_text("#d-name", "blog")
    b.keys("ESCAPE")
    b.wait(lambda: not b.one("#details").is_displayed(), "Escape closes it")
    assert not b.js("return location.hash")


def test_routes_are_links_that_open_the_service(site, page):
    gw = site.gateway(site.app(hosts=["blog.localhost", "*.blog.localhost"], host=None), config=page.config())
    b = live(page.look())
    links = [(a.text, a.get_attribute("href")) for a in b.row("blog").find_elements("css selector", "a")]
    assert links == [("blog.localhost", f"http://blog.localhost:{gw.port}/")]
    assert "*.blog.localhost" in b.cell("blog", "name")


# ── what is done ──


def test_the_buttons_start_restart_and_stop(site, page):
    blog = site.app(idleTimeout="1h")
    site.gateway(blog, config=page.config())
    b = live(page.look())
    b.operate("blog", "start")
    b.wait_state("blog", "online")
    assert blog.starts == 1
    b.operate("blog", "restart")
    wait_for(lambda: blog.starts == 2, "it was started again")
    b.wait_state("blog", "online")
    b.operate("blog", "stop")
    b.wait_state("blog", "offline")
    assert not blog.running
    assert not b.all(".toast")


def test_a_start_can_be_thought_better_of(site, page):
    blog, _ = gated(site)
    site.gateway(blog, config=page.config())
    b = live(page.look())
    b.operate("blog", "start")
    b.wait_state("blog", "starting")
    b.operate("blog", "stop")
    b.wait_state("blog", "offline")
    b.wait(lambda: b.cell("blog", "actions") == "Start", "it can be started again")
    assert not b.all(".toast")


def test_nothing_open_is_cut_off_without_a_question(site, page):
    events = site.folder / "events"
    events.write_text("one\n")
    blog = site.app("sse.py", env={"EVENTS": events})
    gw = site.gateway(blog, config=page.config())
    b = live(page.look())
    with gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") as c:
        c.read_until(b"data: one\n\n")
        b.wait(lambda: "in use" in b.cell("blog", "idle"), "it is in use")
        b.operate("blog", "stop")
        assert "1 request is open" in b.wait_text("#confirm", "cut off").text
        b.keys("ENTER")  # the answer that does nothing has the focus
        b.wait(lambda: not b.one("#confirm").is_displayed(), "the question is gone")
        assert blog.running
        b.operate("blog", "stop")
        b.click("#confirm-yes")
        b.wait_state("blog", "offline")
        c.read_all()


def test_it_can_be_used_with_the_keyboard_alone(site, page):
    blog, nas = site.app(idleTimeout="1h"), site.app(name="nas", idleTimeout="1h")
    site.gateway(blog, nas, config=page.config())
    b = live(page.look())
    b.keys("/", "nas")
    b.wait(lambda: [r.is_displayed() for r in b.all(".row")] == [False, True], "only nas is left")
    b.keys("ARROW_DOWN")
    assert b.focused().text == "nas"
    assert b.focused().value_of_css_property("outline-style") == "solid", "the focus is seen"
    b.keys("ENTER")
    b.wait_text("#d-name", "nas")
    for _ in range(10):
        if b.focused().get_attribute("data-operation") == "start":
            break
        b.keys("TAB")
    b.keys("ENTER")
    b.wait_text("#details .word", "online")
    assert nas.starts == 1
    b.keys("ESCAPE")
    b.wait(lambda: not b.one("#details").is_displayed(), "Escape closes it")
    assert b.focused().text == "nas", "the focus is where it was"
    b.keys("/", "ESCAPE")
    b.wait(lambda: all(r.is_displayed() for r in b.all(".row")), "Escape shows all of them")


def test_every_control_can_be_reached_and_has_a_name(site, page):
    site.gateway(site.app(), config=page.config())
    b = live(page.look())
    b.js("document.activeElement.blur()")
    reached = []
    for _ in range(40):
        b.keys("TAB")
        e = b.focused()
        if e.tag_name == "body":
            break
        reached.append(e)
        assert e.accessible_name, f"no name: {e.get_attribute('outerHTML')}"
        if e.get_attribute("type") != "radio":  # which shows it on its label
            assert e.value_of_css_property("outline-style") != "none", e.accessible_name
    names = [e.accessible_name for e in reached]
    for expected in ("Skip to the services", "Use dark colours", "Filter services", "Service", "blog", "Start blog"):
        assert any(name.startswith(expected) for name in names), (expected, names)


def test_the_list_can_be_filtered_and_sorted(site, page):
    site.gateway(*(site.app(name=n, idleTimeout="1h") for n in ("alpha", "beta", "gamma")), config=page.config())
    b = live(page.look())
    b.operate("gamma", "start")
    b.wait_state("gamma", "online")

    def shown():
        return [r.get_attribute("data-name") for r in b.all(".row") if r.is_displayed()]
    assert shown() == ["alpha", "beta", "gamma"]
    b.click("[data-key=name] button")
    b.wait(lambda: shown() == ["gamma", "beta", "alpha"], "the order is turned around")
    b.click("[data-key=state] button")
    b.wait(lambda: shown() == ["gamma", "alpha", "beta"], "who is online comes first")
    assert b.one("[data-key=state]").get_attribute("aria-sort") == "ascending"
    b.one("#filter").send_keys("alpha.local")
    b.wait(lambda: shown() == ["alpha"], "routes are searched too")
    b.one("#filter").send_keys("nothing")
    b.click("#clear-filter")
    b.wait(lambda: len(shown()) == 3, "all are there again")
    b.js("document.querySelector('[name=show][value=awake]').click()")
    b.wait(lambda: shown() == ["gamma"], "only who is awake")


# ── who may look ──


def test_a_token_is_asked_for_kept_in_the_tab_and_never_in_a_url(site, page):
    site.gateway(site.app(), config=page.config(authToken=TOKEN))
    b = page.look()
    b.wait_text("#ask-token", "wants a token")
    b.keys("wrong-one", "ENTER")
    b.wait_text("#token-wrong", "not accepted")
    assert not b.all(".row")
    b.keys(TOKEN, "ENTER")
    live(b)
    b.wait_state("blog", "offline")
    b.driver.refresh()
    live(b)
    assert b.js("return [localStorage.length, document.cookie]") == [0, ""]
    assert not [url for url in b.requested() if TOKEN in url or "wrong-one" in url]
    b.click("#sign-out")
    b.wait_text("#ask-token", "wants a token")
    assert b.js("return sessionStorage.length") == 0


def test_a_token_that_is_for_looking_starts_nothing(site, page):
    blog = site.app()
    site.gateway(blog, config=page.config(authToken=TOKEN, readOnlyToken=LOOK))
    b = page.look()
    b.wait_text("#ask-token", "wants a token")
    b.keys(LOOK, "ENTER")
    live(b)
    b.wait_state("blog", "offline")
    assert not b.all("[data-operation]"), "there is no button that would be refused"


def test_a_refusal_is_explained(site, page):
    site.gateway(site.app(), config=page.config())
    b = live(page.look())
    b.cdp("Page.addScriptToEvaluateOnNewDocument", source="""
        const real = fetch;
        window.fetch = (url, ...more) => url.endsWith("events")
            ? Promise.resolve(new Response('{"error": "This address may not."}', {status: 403}))
            : real(url, ...more)""")
    b.driver.refresh()
    text = b.wait_text("#refused", "You may not look at this").text
    assert "This address may not." in text and "allowedIps" in text


# ── what goes wrong ──


def test_a_lost_connection_is_told_and_made_up_for(site, page):
    blog, nas = site.app(idleTimeout="1h"), site.app(name="nas")
    machine = site.machine(blog, config=page.config())
    b = live(page.look())
    b.wait_state("blog", "offline")
    b.js("window.notReloaded = true")
    machine.stop_unit("dynapm")
    b.wait_text("#banner", "does not answer")
    b.wait_text("#link-word", "Connection lost")
    machine.start_unit("dynapm")
    machine.wait_unit_ready("dynapm")
    machine.curl("blog")
    b.js("document.getElementById('banner-retry').click()")  # whether it has come back by itself or not
    live(b)
    b.wait_state("blog", "online")
    b.wait(lambda: not b.one("#banner").is_displayed(), "the banner is gone")
    assert b.js("return window.notReloaded")


def test_it_comes_back_by_itself_when_the_manager_was_killed(site, page):
    blog = site.app(idleTimeout="1h")
    machine = site.machine(blog, config=page.config())
    b = live(page.look())
    machine.curl("blog")
    b.wait_state("blog", "online")
    b.js("window.lost = 0; new MutationObserver(() => lost++).observe(document.getElementById('link-word'), "
         "{childList: true, characterData: true, subtree: true})")
    machine.kill_unit("dynapm-manager")
    b.wait(lambda: b.js("return lost") > 0, "it notices")
    live(b)
    b.operate("blog", "stop")
    b.wait_state("blog", "offline")


# ── what must not happen ──

HOSTILE_PATHS = ["/<img%20src=x%20onerror=alert(1)>", "/<script>alert(1)</script>", "/'\"`${alert(1)}",
                 "/javascript:alert(1)", "/%3Cscript%3Ealert(1)%3C/script%3E", "/&lt;b&gt;"]
EVIL = """<img src=x onerror=alert(1)><script>alert(2)</script>'"`${alert(3)}&lt;"""


def test_hostile_words_are_only_words(site, page):
    program = f"/nonexistent/{EVIL.replace('/', '')}"
    gw = site.gateway(
        site.app(idleTimeout="1h", path="/<b>bold</b>"), site.app(name="plain", idleTimeout="1h"),
        files={"evil.json": {"host": "evil.localhost", "base": "http://127.0.0.1:1", "exec": [program]}},
        config=page.config())
    b = live(page.look())
    b.operate("evil", "start")
    b.wait_state("evil", "failed")
    b.wait(lambda: "<img src=x" in b.cell("evil", "state"), "it is shown as it is")
    b.click("#toasts button")
    b.wait(lambda: not b.all(".toast"), "the alert is gone")
    passed = []
    for path in HOSTILE_PATHS:
        answer = gw.raw(f"GET {path} HTTP/1.1\r\nHost: plain.localhost\r\nConnection: close\r\n\r\n").reply()
        if answer.status == 200:
            b.wait(lambda: f"GET {path}" in b.cell("plain", "state"), "the path is shown as it is")
            b.js("return fetch('api/services/plain/stop', {method: 'POST'})")
            b.wait_state("plain", "offline")
            passed.append(path)
    assert len(passed) >= 4, passed
    for name in ("evil", "plain", "blog"):
        b.js("location.hash = arguments[0]", name)
        b.wait_text("#d-name", name)
    b.keys("ESCAPE")
    b.js("location.hash = arguments[0]", "<img src=x onerror=alert(1)>%")
    assert not b.all("body img, body b b, #rows script, #details script, iframe, object"), "an element was injected"
    assert b.js("return document.scripts.length") == 2
    assert all(re.match(r"https?:", a.get_attribute("href")) for a in b.all("a[target]"))


def test_the_page_is_guarded_by_a_strict_policy(site, page):
    site.gateway(site.app(), config=page.config())
    b = live(page.look())
    b.js("""window.blocked = [];
            document.addEventListener("securitypolicyviolation", e => blocked.push(e.effectiveDirective));
            const add = (tag, properties) =>
                document.body.append(Object.assign(document.createElement(tag), properties));
            const script = document.createElement("script");
            script.append("window.ran = true");
            document.body.append(script);
            add("iframe", {src: "/_dynapm/"});
            document.body.setAttribute("style", "color: red");
            try { add("p", {innerHTML: "<b>markup</b>"}) } catch (e) { blocked.push(e.name) }""")
    all_of_them = {"require-trusted-types-for", "style-src-attr", "frame-src", "TypeError"}
    b.wait(lambda: all_of_them <= set(b.js("return blocked")), "all is blocked")
    assert not b.js("return window.ran")
    b.complaints()  # of what was ours


# ── how it looks ──

CONTRASTS = """
const luminance = ([r, g, b]) => { const f = c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
                                   return .2126 * f(r) + .7152 * f(g) + .0722 * f(b) };
const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
                      if (c.length && (c.length < 4 || c[3] === 1)) return c } return [255, 255, 255] };
const bad = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let n = 0;
while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, style = getComputedStyle(e);
    const text = walk.currentNode.textContent.trim();
    if (!text || !e.checkVisibility({visibilityProperty: true}) || e.closest(".unseen")) continue;
    n++;
    const a = luminance(parse(style.color)), b = luminance(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className} ${text} ${style.color}`);
}
return [n, bad];
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_has_enough_contrast(site, page, dark):
    events = site.folder / "events"
    events.write_text("one\n")
    blog, nas = site.app("sse.py", env={"EVENTS": events}), site.app(name="nas", kind="proxyOnly")
    wiki, _ = gated(site, "wiki")
    gw = site.gateway(blog, nas, wiki, site.app(name="rest"), config=page.config(), files={
        "bad.json": {"host": "bad.localhost", "base": "http://127.0.0.1:1", "exec": ["/nonexistent/program"]}})
    b = live(page.look(dark=dark))
    b.operate("bad", "start")
    b.wait_state("bad", "failed")
    b.wait_text("#toasts", "Start of bad failed")
    waiting = gw.raw("GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n")
    b.wait_state("wiki", "starting")
    with gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") as c:
        c.read_until(b"data: one\n\n")
        b.wait_state("blog", "online")
        n, bad = b.js(CONTRASTS)
        assert n > 50 and not bad, bad
        b.wait(lambda: "1" in b.cell("blog", "open"), "the request is seen")
        b.operate("blog", "stop")
        b.wait_text("#confirm", "cut off")
        assert not b.js(CONTRASTS)[1]
        b.keys("ESCAPE")
        b.click(".row[data-name=bad] .name")
        b.wait_text("#d-name", "bad")
        assert not b.js(CONTRASTS)[1]
    waiting.close()


def test_the_theme_follows_the_system_until_a_button_says_otherwise(site, page):
    site.gateway(site.app(), config=page.config())
    b = live(page.look(dark=True))

    def ground():
        return b.js("return getComputedStyle(document.body).backgroundColor")
    dark = ground()
    b.click("#theme")
    light = ground()
    assert light != dark
    assert b.one("#theme").accessible_name == "Use dark colours"
    b.driver.refresh()
    live(b)
    assert ground() == light
    b.click("#theme")
    assert ground() == dark
    assert b.js("return localStorage.length") == 0, "as the system has it: nothing is remembered"


def test_who_wants_no_motion_gets_none(site, page):
    blog, gate = gated(site)
    gw = site.gateway(blog, config=page.config())
    b = live(page.look(reduced_motion=True))
    r = request(gw)
    b.wait_state("blog", "starting")
    assert b.js("return document.getAnimations().length") == 0
    gate.touch()
    r.join()


def test_on_a_phone_nothing_is_wider_than_the_screen(site, page):
    long = "x" * 60
    site.gateway(site.app(name=long, hosts=[f"{'y' * 60}.{'z' * 60}.localhost", "www.localhost"], host=None),
                 site.app(), config=page.config())
    b = live(page.look(size=PHONE))

    def fits():
        return b.js("return document.documentElement.scrollWidth <= innerWidth && "
                    "[...document.querySelectorAll('button, a, h2, .value')].every(e => !e.checkVisibility() || "
                    "e.getBoundingClientRect().right <= innerWidth + .5)")
    b.wait_state(long, "offline")
    assert fits()
    b.click(".row .name")
    b.wait_text("#d-name", "blog")
    b.wait(fits, "the drawer fits")
    b.keys("ESCAPE")
    small = b.js("return [...document.querySelectorAll('main button')].filter(e => e.checkVisibility() && "
                 "!e.matches('.name') && e.getBoundingClientRect().height < 32).map(e => e.outerHTML)")
    assert not small, "too small for a finger"


def test_without_services_it_says_how_to_begin(site, page):
    site.gateway(config=page.config())
    b = live(page.look())
    assert "/etc/dynapm.d/blog.json" in b.wait_text("#no-services", "No services yet").text
    assert not b.one("#services").is_displayed()


def test_hundreds_of_services_are_drawn_once(site, page):
    many = {f"s{i:03}.json": {"host": f"s{i}.localhost", "base": f"http://127.0.0.1:{9000 + i}", "proxyOnly": True}
            for i in range(400)}
    gw = site.gateway(site.app(idleTimeout="1h"), files=many, config=page.config())
    b = live(page.look())
    b.wait(lambda: len(b.all(".row")) == 401, "all of them are listed", timeout=60)
    b.js("""window.rows = [...document.querySelectorAll(".row")];
            window.touched = new Set();
            new MutationObserver(records => records.map(r => r.target).forEach(e =>
                e.matches?.(".word") && touched.add(e.closest(".row").dataset.name)))
                .observe(document.getElementById("rows"), {childList: true, subtree: true})""")
    gw.curl("blog")
    b.wait_state("blog", "online")
    assert b.js("return rows.every(r => r.isConnected)"), "rows are kept"
    assert b.js("return [...touched]") == ["blog"], "only its row is drawn anew"


# ── arithmetic ──


def compute(b, script):
    """What an async function body, in which the page's modules are at hand, returns."""
    return b.driver.execute_async_script("""
        const [done] = arguments;
        (async () => {
            const load = name => import(`/_dynapm/${name}.js`);
            %s
        })().then(done, e => done(String(e)))""" % script)


def test_numbers_are_written_as_people_read_them(site, page):
    site.gateway(config=page.config())
    b = live(page.look())
    assert compute(b, """const f = await load("format");
        return [...[0, 41000, 259000, 7980000, 273600000].map(f.span), ...[0.42, 212, 1340].map(f.duration),
                ...[512, 50541363].map(f.bytes), ...[0, 0.4, 1204].map(f.rate), f.plural(1, "start")]
        """) == ["0s", "41s", "4min 19s", "2h 13min", "3d 4h", "0.4ms", "212ms", "1.34s", "512 B", "48.2 MiB",
                 "0", "0.4", "1,204", "1 start"]


def test_quantiles_come_from_how_much_a_histogram_grew(site, page):
    site.gateway(config=page.config())
    b = live(page.look())
    assert compute(b, """const {History, quantile} = await load("history");
        const bounds = [10, 100], h = new History();
        h.add(0, {requests: 1000, durations: {bounds, counts: [1000, 0, 0]}}, true);
        h.add(2000, {requests: 1010, durations: {bounds, counts: [1000, 10, 0]}});
        h.idleUntil(6000);
        const known = h.rates().filter(v => !Number.isNaN(v));
        const after = h.add(8000, {requests: 4, durations: {bounds, counts: [4, 0, 0]}});
        const empty = quantile(bounds, [0, 0, 0], .5);
        return [known, h.quantile(.5, 60000), after, quantile(bounds, [0, 0, 5], .5), Number.isNaN(empty)]
        """) == [[5, 0], 55, 4, 100, True]


def test_a_stream_is_understood_in_whatever_pieces_it_comes(site, page):
    site.gateway(config=page.config())
    b = live(page.look())
    text = (': hello\n\nevent: connected\ndata: {"type": "a"}\n\ndata: {"n":\ndata: 1}\r\n\r\n:\n\n'
            'data: {"n": 2}\n\n')
    assert compute(b, """const {EventParser} = await load("api");
        const text = %s, results = [];
        for (let size = 1; size <= text.length; size++) {
            const parser = new EventParser(), found = [];
            for (let at = 0; at < text.length; at += size) found.push(...parser.push(text.slice(at, at + size)));
            results.push(JSON.stringify(found));
        }
        return [...new Set(results)]""" % json.dumps(text)) == ['[{"type":"a"},{"n":1},{"n":2}]']
