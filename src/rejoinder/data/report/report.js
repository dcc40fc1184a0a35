"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const PER_PAGE = 30;
  root.classList.add("scripted");

  // Light or dark: as the system has it until somebody chooses; remembered where the browser lets a file remember.
  const theme = document.querySelector(".theme");
  const stored = (value) => {
    try {
      if (value) localStorage.setItem("rejoinder-theme", value);
      return localStorage.getItem("rejoinder-theme");
    } catch {
      return null;
    }
  };
  const chosen = stored();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    stored(root.dataset.theme);
  });

  // Contents: the section that is being read is marked.
  const links = new Map(all(".contents a").map((link) => [link.getAttribute("href").slice(1), link]));
  const seen = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
    const current = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) id === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }, { rootMargin: "-15% 0px -60% 0px" });
  for (const id of links.keys()) watch.observe(document.getElementById(id));

  // Tabs, with arrow keys.
  for (const list of all('[role="tablist"]')) {
    const tabs = all('[role="tab"]', list);
    const show = (tab) => tabs.forEach((one) => {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
      document.getElementById(one.getAttribute("aria-controls")).hidden = one !== tab;
    });
    list.addEventListener("click", (event) => tabs.includes(event.target) && show(event.target));
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
      show(next);
      next.focus();
      event.preventDefault();
    });
    show(tabs[0]);
  }

  // One recording plays at a time; its waveform shows where it is, and a click goes there.
  const players = all("audio");
  for (const player of players) {
    player.addEventListener("play", () => players.forEach((other) => other !== player && other.pause()));
    const box = player.closest(".sound")?.querySelector(".wave-box");
    if (!box) continue;
    const head = box.querySelector(".head");
    const follow = () => {
      if (Number.isFinite(player.duration)) {
        head.style.opacity = "1";
        head.style.left = `${(100 * player.currentTime) / player.duration}%`;
      }
      if (!player.paused) requestAnimationFrame(follow);
    };
    player.addEventListener("play", follow);
    player.addEventListener("seeked", follow);
    box.addEventListener("click", (event) => {
      const { left, width } = box.getBoundingClientRect();
      const go = () => {
        player.currentTime = (player.duration * (event.clientX - left)) / width;
        player.play();
      };
      if (player.readyState >= 1) return go();
      player.addEventListener("loadedmetadata", go, { once: true });
      player.load();
    });
  }

  // Failed turns: filtered, and shown a page at a time.
  const form = document.querySelector(".filters");
  if (!form) return;
  const cards = all(".turn").map((card) => ({ card, attempts: all(".attempt", card) }));
  const more = document.querySelector(".more");
  let limit = PER_PAGE;
  const filter = () => {
    const { search, system, condition, stage } = Object.fromEntries(new FormData(form));
    const wanted = (search || "").toLowerCase().split(/\s+/).filter(Boolean);
    let turns = 0;
    let matches = 0;
    for (const { card, attempts } of cards) {
      const fits = (!condition || card.dataset.condition === condition) && wanted.every((word) => card.dataset.search.includes(word));
      let visible = 0;
      for (const attempt of attempts) {
        attempt.hidden = Boolean((system && attempt.dataset.system !== system) || (stage && attempt.dataset.stage !== stage));
        visible += !attempt.hidden;
      }
      if (fits && visible) {
        matches += 1;
        turns += visible;
      }
      card.hidden = !fits || !visible || matches > limit;
    }
    form.querySelector(".matches").value = turns ? `${turns} ${turns === 1 ? "turn" : "turns"}` : "no turns match";
    more.hidden = matches <= limit;
  };
  form.hidden = false;
  form.addEventListener("input", () => { limit = PER_PAGE; filter(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { limit += PER_PAGE; filter(); });
  filter();
})();
