import type { Inngest } from "inngest";
import { MailJobs, Registry } from "./classes";
import { events, getClient, TracingInngest } from "./client";

type Handler = () => Promise<void>;
const noop: Handler = async () => {};

// Called with literals, with defaults, with an object.
function factory(id: string, event = `factory/${id}`, { retries = 3, ...options }: { retries?: number; name?: string } = {}) {
  if (!id) throw new Error("an id is needed");
  return getClient().createFunction({ id: `factory-${id}`, retries: retries as 3, ...options }, { event }, noop);
}
export const one = factory("one");
export const two = factory("two", "other/two");
export const three = factory("three", undefined, { retries: 0, name: "Three" });

// A wrapper that passes everything on.
const define = (options: Parameters<Inngest["createFunction"]>[0], trigger: any, handler: Handler = noop) =>
  events.createFunction({ retries: 2, ...options }, trigger, handler);
export const wrapped = define({ id: "wrapped" }, { event: "w/wrapped" });
export const wrappedOwn = define({ id: "wrapped-own", retries: 5 }, [{ cron: "0 1 * * *" }, { event: "w/own" }], async () => {
  console.log("handled");
});

// Curried, bound, destructured.
const forApp = (client: Inngest) => (group: string) => (id: string) =>
  client.createFunction({ id: `${group}/${id}` }, { event: `${group}/${id}.requested` }, noop);
export const curried = forApp(events)("group")("curried");
const create = events.createFunction.bind(events);
export const bound = create({ id: "bound" }, { event: "b/bound" }, noop);
const { createFunction } = events;
export const destructured = createFunction({ id: "destructured" }, { event: "b/destructured" }, noop);
const method = "createFunction" as const;
export const byKey = events[method]({ id: "by-key" }, { event: "b/key" }, noop);
export const applied = createFunction.apply(null, [{ id: "applied" }, { event: "b/applied" }, noop] as any);
export const optional = events?.createFunction?.({ id: "optional" }, { event: "b/optional" }, noop);

// Control flow inside.
function byKind(kind: "cron" | "event", id: string) {
  let trigger: any;
  switch (kind) {
    case "cron":
      trigger = { cron: "30 2 * * *" };
      break;
    default:
      trigger = { event: `kind/${id}` };
  }
  try {
    return events.createFunction({ id }, trigger, noop);
  } finally {
    trigger = null;
  }
}
export const kinds = { cron: byKind("cron", "kind-cron"), event: byKind("event", "kind-event") };

function countdown(n: number): any[] {
  if (n === 0) return [];
  return [events.createFunction({ id: `countdown-${n}` }, { event: "count/down" + n }, noop), ...countdown(n - 1)];
}
export const counted = countdown(3);

function variadic(prefix: string, ...ids: string[]) {
  return ids.map((id, i) => events.createFunction({ id: `${prefix}-${id}`, retries: i as 1 }, { event: arguments[0] + "/" + id }, noop));
}
export const variadics = variadic("variadic", "a", "b");

// An immediately invoked function, a late binding, a chain of builders.
export const immediate = (() => {
  const id = "immediate";
  return define({ id }, { event: `i/${id}` });
})();
class Builder {
  private parts: Record<string, unknown> = {};
  id(id: string) {
    this.parts.id = id;
    return this;
  }
  retries(n: number) {
    this.parts.retries = n;
    return this;
  }
  on(event: string) {
    return { build: () => events.createFunction(this.parts as any, { event }, noop) };
  }
}
export const built = new Builder().id("built").retries(6).on("b/built").build();

export const mail = new MailJobs(events, "box").all;
Registry.define(events, "first");
Registry.define(events, "second");
export const registered = Registry.functions;
const tracing = new TracingInngest({ id: "corpus" });
export const traced = [tracing.traced("x", "t/x"), tracing.traced("y", "t/y")];

// Asynchronous, memoised, generic.
async function later<T extends string>(id: T) {
  await Promise.resolve();
  return define({ id: `later-${id}` }, { event: `l/${id}` });
}
export const awaited = await later("awaited");
const memo = new Map<string, any>();
const memoised = (id: string) => {
  if (!memo.has(id)) memo.set(id, define({ id }, { event: `memo/${id}` }));
  return memo.get(id);
};
memoised("memoised");
export const memoisedOnce = memoised("memoised");
export const hasTwo = Registry.size === 2 && define({ id: "size-two" }, { event: "r/two" });
