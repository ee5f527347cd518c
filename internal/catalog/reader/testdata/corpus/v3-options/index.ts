import { slugify } from "inngest";
import { bus } from "./client";
import defaults, { Inlined, Level, list, Names, nested, PREFIX, Retry, Trigger } from "./constants";
import * as constants from "./constants";
import settings from "./settings.json";

const handler = async () => {};
const event = "item/shorthand";
const base = { retries: Retry.few, concurrency: { limit: 4 } };
const withName = { ...base, name: "With name", retries: 7 };
const key = "retries";
const VERSION = 3;
const isProduction = false;
const { one } = nested.deep.ids;
const [first, , third = "unused", fourth = "fallback"] = list;
const { id: jsonId, ...jsonRest } = settings;
const frozen = Object.freeze({ id: "frozen", retries: 1 });
const assigned = Object.assign({ retries: 1 }, base, { id: "assigned" });
let mutated: { id: string; retries?: number } = { id: "mutated" };
mutated.retries = 8;
mutated["id"] += "-later";
const lookup: Record<string, number> = { alpha: 1, beta: 3 };
function makeId(part: string, n = VERSION) {
  const joined = [PREFIX, part, `v${n}`].join("-");
  return joined.toLowerCase();
}
const counter = (() => {
  let n = 0;
  return () => ++n;
})();
counter();

export const functions = [
  bus.createFunction({ ...base, id: "spread" }, { event }, handler),
  bus.createFunction({ id: "spread-after", retries: 1, ...base }, { event }, handler),
  bus.createFunction({ ...withName, id: "spread-twice" }, { event: Trigger.Created }, handler),
  bus.createFunction({ id: `${PREFIX}-template-${VERSION + 1}` }, { event: `item/${PREFIX}.${first}` }, handler),
  bus.createFunction({ id: PREFIX + "-" + "plus", [key]: 5 }, { event: constants.Trigger.Updated }, handler),
  bus.createFunction({ id: makeId("Call"), retries: Level.High }, { cron: Inlined.Cron }, handler),
  bus.createFunction({ id: makeId("call", 9), retries: Level["Low"] }, { event: list[1]! }, handler),
  bus.createFunction({ id: one, retries: nested.deep.retries[2] as 3 }, { event: third }, handler),
  bus.createFunction({ id: fourth }, { event: nested?.deep?.ids?.one }, handler),
  bus.createFunction({ id: Names.of("trail") }, { event: Names.audit }, handler),
  bus.createFunction({ id: defaults.fallback }, { event: "item/default" }, handler),
  bus.createFunction({ ...(jsonRest as object), id: jsonId }, { cron: settings.cron }, handler),
  bus.createFunction(frozen, { event: "item/frozen" }, handler),
  bus.createFunction(assigned, { event: "item/assigned" }, handler),
  bus.createFunction(mutated as any, { event: "item/mutated" }, handler),
  bus.createFunction({ id: "conditional", retries: isProduction ? 10 : 2 }, { event: "item/conditional" }, handler),
  bus.createFunction({ id: "logical", retries: (undefined ?? 3) as 3, ...(isProduction && { name: "no" }) }, { event: "x" || "y" }, handler),
  bus.createFunction({ id: "lookup", retries: lookup["beta"] as 3 }, { event: "item/lookup" }, handler),
  bus.createFunction({ id: "undefined-retries", retries: undefined }, { event: "item/undefined" }, handler),
  bus.createFunction({ id: slugify("A  Title, with Ünïcode!") }, { event: "item/slug" }, handler),
  bus.createFunction({ id: "Some Id".replace(/\s+/g, "_").toUpperCase() }, { event: "a-b-c".split("-").reverse().join("/") }, handler),
  bus.createFunction({ id: "pad-" + String(VERSION).padStart(3, "0") }, { event: "item/pad".slice(0, -1) }, handler),
  bus.createFunction({ id: `count-${counter()}` }, { event: `item/count.${counter()}` }, handler),
  bus.createFunction({ id: "satisfies", retries: 4 } satisfies { id: string; retries: number } as any, { event: "item/sat" } as const, handler),
  bus.createFunction({ id: "regex-" + /v(\d+)/.exec("build v42")![1] }, { event: "item/regex" }, handler),
  bus.createFunction({ id: "math", retries: Math.min(5, Math.max(1, 2 * 2)) as 4 }, { event: "item/math" }, handler),
  bus.createFunction({ id: "number", retries: Number("3") as 3 }, { event: "item/number" }, handler),
  bus.createFunction({ id: "no-event" }, { event: (Trigger as any).Deleted }, handler),
  bus.createFunction({ id: "no-trigger" }, {} as any, handler),
  bus.createFunction({ id: "null-retries", retries: null as any }, { event: "item/null" }, handler),
];
