// The page: sections, what is asked each second, the token, the keyboard and the colours.

import { get, keepToken } from "./api.js";
import { closeDetail, isOpen } from "./detail.js";
import { ask, say } from "./dialogs.js";
import { byId, h, mark, put, visible } from "./dom.js";
import { Fleet } from "./fleet.js";
import { rate, short } from "./format.js";
import { Groups } from "./groups.js";
import { Letters } from "./letters.js";
import { Live } from "./live.js";
import { Overview } from "./overview.js";
import { Events, Subscribers, openSubscriber } from "./tables.js";

const EVERY_MS = 1000;
const THEMES = { auto: ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };
const NEEDS = { letters: "dead_letters:list", fleet: "fleet:status" }; // sections that are shown with a command alone
const SHORTCUTS = [
  ["1 – 7", "go to a section"],
  ["/", "filter the section"],
  ["p", "pause or resume live events"],
  ["↑ ↓", "move between rows"],
  ["Enter", "look at a row"],
  ["Esc", "close"],
  ["t", "light, dark, or as the system"],
  ["?", "show this list"],
];

class Page {
  constructor() {
    this.session = { title: "evframe", asks: false, acts: false, commands: [], events_per_s: 0 };
    this.state = null;
    this.overview = new Overview(this);
    this.live = new Live(this);
    this.subscribers = new Subscribers(this);
    this.sections = [
      this.overview, this.live, this.subscribers, new Groups(this), new Letters(this), new Events(this), new Fleet(this),
    ];
    this.section = null;
    this.opening = null;
    this.isReady = false;
    this.fails = 0;
    this.at = 0;
    this.tabs = this.sections.map((section, index) => this.tab(section, index));
    this.headline = [
      ["Raised/s", (state) => rate(state.raised_rate)],
      ["Delivered/s", (state) => rate(state.delivered_rate)],
      ["Failed/s", (state) => rate(state.failed_rate)],
      ["Waiting", (state) => short(state.queued)],
    ].map(([name, text]) => ({ name, text, shown: h("dd", null, "–") }));
  }

  tab(section, index) {
    section.element.id = section.id;
    section.element.hidden = true;
    section.element.setAttribute("role", "tabpanel");
    section.element.setAttribute("aria-labelledby", `tab-${section.id}`);
    const badge = h("span", { class: "badge", hidden: true });
    const tab = h("button", {
      type: "button",
      id: `tab-${section.id}`,
      role: "tab",
      "aria-controls": section.id,
      "aria-selected": "false",
      "aria-keyshortcuts": String(index + 1),
      tabindex: -1,
      on: { click: () => this.show(section) },
    }, section.label, badge);
    tab.badge = badge;
    return tab;
  }

  async begin() {
    this.theme(localStorage.getItem("evframe-theme") ?? "auto");
    byId("headline").append(...this.headline.map(({ name, shown }) => h("div", null, h("dt", null, name), shown)));
    byId("tabs").append(...this.tabs);
    byId("main").append(...this.sections.map((section) => section.element));
    byId("theme").addEventListener("click", () => this.nextTheme());
    byId("help-open").addEventListener("click", () => this.help());
    byId("unlock").addEventListener("click", () => this.unlock());
    byId("tabs").addEventListener("keydown", (event) => this.arrows(event));
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => this.show(this.fromHash()));
    document.addEventListener("visibilitychange", () => document.hidden || this.tick());
    await this.open();
    this.isReady = true;
    this.show(this.fromHash(), false);
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS * Math.min(8, 1 + this.fails)));
      if (!document.hidden) await this.tick();
    }
  }

  /** Find out what this page may do, with the token if that is asked for; once, however many requests want it. */
  open() {
    this.opening ??= this.enquire().finally(() => {
      this.opening = null;
    });
    return this.opening;
  }

  async enquire() {
    for (;;) {
      try {
        this.use(await get("/api/session"));
        await this.tick();
        return;
      } catch (error) {
        this.failed(error);
        if (error.status === 401) await this.enterToken(true);
        else await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      }
    }
  }

  use(session) {
    this.session = session;
    put(byId("title"), session.title);
    document.title = `${visible(session.title)} · evframe`;
    const button = byId("unlock");
    button.hidden = !session.asks;
    put(button, session.acts ? "Lock" : "Unlock");
    button.title = session.acts ? "Forget the token" : "Type the token to act";
    for (const [section, command] of Object.entries(NEEDS)) {
      this.tabs[this.sections.findIndex(({ id }) => id === section)].hidden = !this.has(command);
    }
  }

  /** Whether a command can be called here. */
  has(command) {
    return this.session.commands.includes(command);
  }

  /** Whether this page may call a command that changes something. */
  may(command) {
    return this.session.acts && this.has(command);
  }

  async unlock() {
    if (this.session.acts) {
      keepToken(null);
      say("The token is forgotten.");
      await this.open();
    } else {
      await this.enterToken(false);
    }
    this.section.refresh();
  }

  async enterToken(isForced) {
    for (;;) {
      const input = h("input", { type: "password", autocomplete: "off", "aria-label": "Token", spellcheck: "false" });
      const text = isForced ? "This gateway asks for a token before it shows anything." : "With the token, members can be enabled and disabled, and dead letters replayed and dropped.";
      const buttons = isForced ? [["Unlock", true, "primary"]] : [["Cancel", false], ["Unlock", true, "primary"]];
      const isGiven = await ask("Token", [h("p", null, text), input, h("p", { class: "muted" }, "This tab keeps it until it is closed.")], buttons, { isForced });
      if (!isGiven) return;
      const given = input.value.trim();
      try {
        const session = await get("/api/session", {}, given || "-");
        if (session.acts) {
          keepToken(given);
          this.use(session);
          return;
        }
        say("That is not the token.", "bad");
      } catch (error) {
        say(error.status === 401 ? "That is not the token." : error.message, "bad");
      }
    }
  }

  async tick() {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      const state = await get("/api/state");
      this.fails = 0;
      this.renew(state);
      if (state.at !== this.at) {
        this.at = state.at;
        this.state = state;
        this.overview.record(state);
        this.showState();
        await this.section?.refresh();
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.isAsking = false;
    }
  }

  /** Take what a reload or another start of the gateway has changed. */
  renew({ version, session }) {
    if (this.version && this.version !== version) say(`The gateway has version ${version} now: load the page again.`);
    this.version = version;
    const known = Object.fromEntries(Object.keys(session).map((name) => [name, this.session[name]]));
    if (JSON.stringify(known) === JSON.stringify(session)) return;
    this.use({ ...session, acts: this.session.acts && session.asks });
    if (this.section?.id in NEEDS && !this.has(NEEDS[this.section.id])) this.show(this.sections[0]);
  }

  showState() {
    const { state } = this;
    for (const { text, shown } of this.headline) put(shown, text(state));
    const bad = state.away + state.failing;
    const [word, kind] = !state.is_running
      ? ["stopping", "away"]
      : bad || state.problems.length
        ? [bad ? `${short(bad)} away or failing` : "not ready", "failing"]
        : ["all well", "connected"];
    this.badge(word, kind);
    const badges = { subscribers: bad, groups: state.members.length, letters: state.dead_letters };
    this.sections.forEach(({ id }, index) => {
      const { badge } = this.tabs[index];
      badge.hidden = !badges[id];
      put(badge, badges[id] ? short(badges[id]) : "");
    });
    document.body.classList.remove("stale");
  }

  badge(word, kind) {
    put(byId("state"), word);
    mark(byId("state"), "data-state", kind);
  }

  /** Take an error: the gateway cannot be reached, the token is not accepted any more, or something else. */
  failed(error, isAsked = false) {
    if (error.status === 0) {
      this.fails += 1;
      this.badge("not connected", "away");
      document.body.classList.add("stale");
    } else if (error.status === 401 && !this.opening) {
      keepToken(null);
      this.open().then(() => this.section.refresh());
    } else if (isAsked || error.status !== 401) {
      this.badge(error.message, "failing");
      if (isAsked) say(error.message, "bad");
    }
  }

  fromHash() {
    return this.sections.find(({ id }) => id === location.hash.slice(1)) ?? this.sections[0];
  }

  show(section, isFocused = true) {
    if (!this.isReady) history.replaceState(null, "", `#${section.id}`); // which is shown as soon as it may be
    if (!this.isReady || section === this.section) return;
    closeDetail();
    this.section?.leave();
    this.section = section;
    this.sections.forEach((each, index) => {
      const isShown = each === section;
      each.element.hidden = !isShown;
      this.tabs[index].setAttribute("aria-selected", String(isShown));
      this.tabs[index].tabIndex = isShown ? 0 : -1;
    });
    const tab = this.tabs[this.sections.indexOf(section)];
    if (isFocused) tab.focus();
    tab.scrollIntoView({ block: "nearest", inline: "center" });
    if (location.hash.slice(1) !== section.id) history.replaceState(null, "", `#${section.id}`);
    scrollTo(0, 0);
    section.enter();
  }

  /** Go where a part of the picture or a button leads. */
  go(kind, id) {
    if (kind === "events") {
      this.live.follow(id.replaceAll(/[[*?]/g, "[$&]"));
      this.show(this.live);
    } else if (kind === "letters" || kind === "groups") {
      this.show(this.sections.find((section) => section.id === kind));
    } else {
      this.show(this.subscribers);
      this.subscribers.search(kind === "subscribers" ? `${id}:` : id);
    }
  }

  /** Show all about one subscriber. */
  subscriber(key, from) {
    return openSubscriber(this, key, from);
  }

  arrows(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const shown = this.sections.filter((_, index) => !this.tabs[index].hidden);
    const at = shown.indexOf(this.section) + step;
    this.show(shown.at(at % shown.length));
    event.preventDefault();
  }

  key(event) {
    if (event.key === "Escape" && !byId("dialog").open) {
      if (isOpen()) closeDetail();
      else if (event.target.matches("input")) event.target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || byId("dialog").open || event.target.matches("input")) return;
    const index = "1234567".indexOf(event.key);
    if (index >= 0 && !this.tabs[index].hidden) this.show(this.sections[index]);
    else if (event.key === "/") this.section?.focusFilter?.();
    else if (event.key === "p") this.live.toggle();
    else if (event.key === "t") this.nextTheme();
    else if (event.key === "?") this.help();
    else return;
    event.preventDefault();
  }

  help() {
    ask("Keyboard", h("dl", { class: "keys" }, SHORTCUTS.map(([key, what]) => [h("dt", null, h("kbd", null, key)), h("dd", null, what)])), [["Close", true]]);
  }

  theme(name) {
    const [sign, words] = THEMES[name] ?? THEMES.auto;
    this.themeName = name in THEMES ? name : "auto";
    mark(document.documentElement, "data-theme", this.themeName === "auto" ? null : this.themeName);
    put(byId("theme"), sign);
    mark(byId("theme"), "aria-label", `Colours: ${words}`);
    mark(byId("theme"), "title", `Colours: ${words} (t)`);
  }

  nextTheme() {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(this.themeName) + 1) % names.length];
    localStorage.setItem("evframe-theme", next);
    this.theme(next);
  }
}

new Page().begin();
