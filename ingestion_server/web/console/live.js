// Streams that are kept, and pages that are asked again: both rest while nobody looks.

import { BrokenError, CallError, stream } from "./connect.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10000;
const HIDDEN_PATIENCE = 15000;
// A browser opens six connections to a server, all windows together.
const FIRST_ANSWER = 8000;

let hidden;
let asleep = false;
const wakers = new Set();
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) {
    hidden = setTimeout(() => {
      asleep = true;
      for (const waker of wakers) waker();
    }, HIDDEN_PATIENCE);
  } else if (asleep) {
    asleep = false;
    for (const waker of wakers) waker();
  }
});

function woken(signal) {
  return new Promise((resolve) => {
    const done = () => {
      wakers.delete(done);
      resolve();
    };
    wakers.add(done);
    signal?.addEventListener("abort", done, { once: true });
  });
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

/**
 * Keep a stream until the signal ends it: it begins anew when it breaks.
 * `request` is a function, so that a stream can go on where it was; `onBroken` hears of
 * each break, and may return false to give up.
 */
export async function keep(method, request, onMessage, onBroken, signal) {
  let wait = FIRST_PAUSE;
  while (!signal?.aborted) {
    if (asleep) {
      await woken(signal);
      continue;
    }
    const ending = new AbortController();
    const end = () => ending.abort();
    const sleeper = () => { if (asleep) end(); };
    wakers.add(sleeper);
    signal?.addEventListener("abort", end, { once: true });
    const silence = setTimeout(() => onBroken(new BrokenError("no answer yet; a browser opens six connections to a server, so close other windows of this page")), FIRST_ANSWER);
    try {
      for await (const told of stream(method, request(), ending.signal)) {
        clearTimeout(silence);
        wait = FIRST_PAUSE;
        onMessage(told);
      }
      onBroken(new BrokenError("the server ended it"));
    } catch (error) {
      if (!ending.signal.aborted && onBroken(error) === false) return;
    } finally {
      clearTimeout(silence);
      wakers.delete(sleeper);
      signal?.removeEventListener("abort", end);
    }
    if (signal?.aborted) return;
    if (!asleep) await pause(wait * (0.5 + Math.random() / 2), signal);
    wait = Math.min(wait * 2, LONGEST_PAUSE);
  }
}

/** Ask again and again; `ask` fails by throwing, and is then asked more rarely. */
export async function poll(ask, milliseconds, onBroken = () => {}) {
  let wait = milliseconds;
  for (;;) {
    if (asleep) await woken();
    try {
      await ask();
      wait = milliseconds;
    } catch (error) {
      onBroken(error);
      wait = error instanceof CallError ? milliseconds * 2 : Math.min(wait * 1.5, LONGEST_PAUSE);
    }
    await pause(wait);
  }
}
