// @ts-check
// Decisions on their way to the server. Each has a number; each is sent again until the server has answered it, and is
// kept in the browser's storage meanwhile, so that neither a lost connection, a restart nor a closed tab swallows one
// silently. The server takes each once: it knows the numbers of this page, and the revision protects the rest.

const AGAIN_MS = 2500;
const ORPHAN_MS = 8000;
const PREFIX = "dailies.outbox.";

/** @param {() => void} send @returns {Outbox} */
function newOutbox(send) {
  const random = crypto.getRandomValues(new Uint32Array(2));
  const client = random[0].toString(36) + random[1].toString(36);
  return { client, seq: 0, waiting: [], answered: 0, sentAt: 0, attempt: 0, send, reviewer: "" };
}

/** @param {Outbox} outbox @param {Act} event */
function post(outbox, event) {
  outbox.seq += 1;
  outbox.waiting.push({ ...event, seq: outbox.seq });
  remember(outbox);
  flush(outbox);
  return outbox.seq;
}

/** @param {Outbox} outbox */
function flush(outbox) {
  outbox.sentAt = performance.now();
  outbox.attempt += 1;
  outbox.send();
}

/** Takes the server's answers; returns those that this page had not seen. @param {Outbox} outbox @param {any[]} answers */
function settle(outbox, answers) {
  const fresh = answers.filter((answer) => answer.client === outbox.client && answer.seq > outbox.answered);
  if (!fresh.length) return [];
  const numbers = new Set(fresh.map((answer) => answer.seq));
  outbox.answered = Math.max(outbox.answered, ...numbers);
  outbox.waiting = outbox.waiting.filter((event) => !numbers.has(event.seq));
  // what was built on a refused decision falls with it
  const refused = new Set(fresh.filter((answer) => !answer.ok).map((answer) => answer.seq));
  outbox.waiting = outbox.waiting.filter((event) => !(event.undoes && refused.has(event.undoes)));
  remember(outbox);
  return fresh;
}

/** @param {Outbox} outbox */
function resend(outbox) {
  const late = outbox.waiting.length > 0 && performance.now() - outbox.sentAt > AGAIN_MS;
  if (late) flush(outbox);
  return late;
}

/** @param {Outbox} outbox */
function remember(outbox) {
  try {
    const key = PREFIX + outbox.client;
    if (!outbox.waiting.length) localStorage.removeItem(key);
    else {
      const kept = { reviewer: outbox.reviewer, beat: Date.now(), waiting: outbox.waiting };
      localStorage.setItem(key, JSON.stringify(kept));
    }
  } catch {
    // private windows may forbid storage; the resending above still works
  }
}

/** Decisions that a closed page of the same reviewer left unanswered; they are this page's now. @param {Outbox} outbox */
function adopt(outbox) {
  const found = [];
  try {
    for (const key of Object.keys(localStorage).filter((name) => name.startsWith(PREFIX))) {
      const kept = JSON.parse(localStorage.getItem(key));
      const mine = kept.reviewer === outbox.reviewer && !key.endsWith(outbox.client);
      if (!mine || Date.now() - kept.beat < ORPHAN_MS) continue;
      localStorage.removeItem(key);
      const numbers = new Map();
      for (const { seq, undoes, ...event } of kept.waiting) {
        const linked = undoes && numbers.has(undoes) ? { undoes: numbers.get(undoes) } : {};
        outbox.seq += 1;
        numbers.set(seq, outbox.seq);
        outbox.waiting.push({ ...event, ...linked, seq: outbox.seq });
        found.push(event);
      }
    }
  } catch {
    return found;
  }
  if (found.length) {
    remember(outbox);
    flush(outbox);
  }
  return found;
}
