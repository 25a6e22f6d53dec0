
'use strict';
// Keeps the page as live as its agent: it asks for the page again when the agent says that something has changed, and puts the
// changed parts in place. Whatever comes is parsed as a document without scripts; nothing is written as markup here.
(() => {
  const byId = (id) => document.getElementById(id);
  const CHECK_EVERY = 30000, RETRY_AFTER = 5000, GIVE_UP_AFTER = 10000;
  // The agent's clock: the moment of the page, and what our own clock said then.
  let agentTime = Number(byId('main').dataset.now), ourTime = Date.now();
  let stream = null, asking = false, askAgain = false, staleSince = null, isHeld = false;

  const now = () => agentTime + Math.max(0, Math.round((Date.now() - ourTime) / 1000));
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);

  function duration(seconds) {
    const minutes = Math.floor(seconds / 60), hours = Math.floor(seconds / 3600);
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${minutes} min`;
    if (seconds >= 172800) return `${Math.floor(hours / 24)} d`;
    return seconds < 36000 && minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  }

  function tick(root) {
    const at = now();
    for (const element of root.querySelectorAll('[data-since], [data-until]')) {
      const { since, until } = element.dataset;
      const left = Math.max(0, until - at);
      const text = since ? duration(Math.max(0, at - since)) : left ? `in ${duration(left)}` : 'due now';
      if (element.textContent !== text) element.textContent = text;
    }
  }

  function say(text, stale) {
    const live = byId('live');
    live.classList.toggle('stale', stale);
    if (live.textContent !== text) live.textContent = text;
  }

  function lost() {
    staleSince ??= agentTime;
    say(`no answer from the agent since ${utc(staleSince)} UTC: what you see is from then`, true);
  }

  // What must not move or be lost: unfolded details, the focus, and the first thing that is in view.
  const place = (element) => element?.closest('[data-id]')?.dataset.id;
  const find = (id) => id && [...document.querySelectorAll('[data-id]')].find((element) => element.dataset.id === id);
  const inView = () => (scrollY > 0 ? [...document.querySelectorAll('main [data-id]:not(section)')]
    .find((element) => element.getBoundingClientRect().top >= 0 && element.getBoundingClientRect().height > 0) : null);

  function put(part, fresh) {
    const open = new Map([...part.querySelectorAll('details')].map((element) => [element.dataset.id, element.open]));
    for (const element of fresh.querySelectorAll('details')) element.open = open.get(element.dataset.id) ?? element.open;
    if (part.isEqualNode(fresh)) return;
    const selection = getSelection();
    if (!selection.isCollapsed && selection.containsNode(part, true)) {
      isHeld = true;
      return;
    }
    const active = document.activeElement, focused = part.contains(active) && { id: place(active), tag: active.tagName };
    part.replaceWith(document.adoptNode(fresh));
    if (focused) (find(focused.id) ?? fresh).querySelector(focused.tag)?.focus({ preventScroll: true });
  }

  function show(fresh) {
    for (const own of ['style', 'script']) {
      if (fresh.querySelector(own)?.textContent !== document.querySelector(own).textContent) return location.reload();
    }
    agentTime = Number(fresh.getElementById('main').dataset.now);
    ourTime = Date.now();
    tick(document);
    tick(fresh);
    const anchor = inView(), anchorId = place(anchor), top = anchor && anchor.getBoundingClientRect().top;
    isHeld = false;
    for (const part of document.querySelectorAll('[data-part]')) put(part, fresh.getElementById(part.id));
    const moved = find(anchorId);
    if (moved) scrollBy({ top: moved.getBoundingClientRect().top - top, behavior: 'instant' });
    byId('icon').href = fresh.getElementById('icon').href;
    if (document.title !== fresh.title) {
      document.title = fresh.title;
      byId('news').textContent = fresh.title;
    }
    staleSince = null;
    if (isHeld) say('live, but for the part in which you have selected text', false);
    else say(stream?.readyState === EventSource.OPEN ? 'live' : `refreshed every ${CHECK_EVERY / 1000} s`, false);
  }

  async function ask() {
    const answer = await fetch(location.pathname, { cache: 'no-store', signal: AbortSignal.timeout(GIVE_UP_AFTER) });
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.text();
  }

  async function refresh() {
    askAgain = asking;
    if (asking) return;
    asking = true;
    do {
      askAgain = false;
      const text = await ask().catch(() => null);
      if (text === null) lost();
      else show(new DOMParser().parseFromString(text, 'text/html'));
    } while (askAgain);
    asking = false;
  }

  // A hidden page holds no connection: browsers have only six for one agent.
  function listen() {
    stream?.close();
    stream = null;
    if (document.hidden) return;
    stream = new EventSource('/api/events');
    stream.addEventListener('change', refresh);
    stream.onerror = () => {
      lost();
      if (stream?.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_AFTER);
    };
  }

  document.addEventListener('visibilitychange', listen);
  document.addEventListener('selectionchange', () => isHeld && getSelection().isCollapsed && refresh());
  setInterval(refresh, CHECK_EVERY);
  setInterval(() => tick(document), 1000);
  listen();
})();
