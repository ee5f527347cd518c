import { inngest, make } from "./client";
import * as group from "./group";
import "./registered-a";
import "./registered-b";
import { byName, registry } from "./registry";

const enabled = true;
const first = [make("one"), make("two")];
const second = new Array<ReturnType<typeof make>>();
second.push(make("pushed"), make("pushed-too", 2));
second.unshift(make("unshifted"));
const flags = { beta: true, gone: false };
const specs = [
  { id: "spec-a", every: "1 * * * *" },
  { id: "spec-b", every: "2 * * * *", retries: 5 },
] as const;
const fromSpecs = specs.map(({ id, every, ...rest }) => inngest.createFunction({ id, ...rest }, { cron: every }, async () => {}));
const loops: any[] = [];
for (const name of ["x", "y"]) {
  for (let i = 0; i < 2; i++) {
    if (name === "y" && i === 1) continue;
    loops.push(make(`loop-${name}${i}`, i));
  }
}
let n = 0;
while (true) {
  if (n++ >= 2) break;
  loops.push(make(`while-${n}`));
}
for (const key in flags) {
  switch (key) {
    case "beta":
      loops.push(make(`in-${key}`));
      break;
    default:
      loops.push(make(`in-default-${key}`));
  }
}
const table: Record<string, ReturnType<typeof make>> = { t1: make("table-1") };
table.t2 = make("table-2");
table["t3"] = make("table-3");
delete table.t1;
const removed = [make("kept"), make("popped"), make("spliced")];
removed.splice(1, 1);
removed.pop();
const tuple = [make("tuple-head"), make("tuple-tail-1"), make("tuple-tail-2")] as const;
const [head, ...tail] = tuple;
const unique = new Set([head, head, make("in-set")]);

export const functions = [
  ...first,
  ...second,
  ...(enabled ? [make("conditional-on")] : [make("conditional-off")]),
  ...(flags.gone ? [make("gone")] : []),
  ...fromSpecs,
  ...loops,
  ...Object.values(table),
  ...Object.values(group).filter((v): v is ReturnType<typeof make> => typeof v === "object"),
  ...removed,
  ...tail,
  ...unique,
  ...registry,
  ...byName.values(),
  ...["m1", "m2"].flatMap((id) => [make(`${id}-a`), make(`${id}-b`)]),
  ...Array.from({ length: 2 }, (_, i) => make(`from-${i}`)),
  ...[[make("flat-1")], [[make("flat-2")]]].flat(2),
  ...Object.entries({ e1: 1, e2: 2 }).map(([id, retries]) => make(`entry-${id}`, retries)),
  ...["keep", "drop"].filter((x) => x !== "drop").map((x) => make(`filtered-${x}`)),
  ...["r1", "r2"].reduce<any[]>((all, id) => [...all, make(`reduced-${id}`)], []),
  ...[make("sliced-0"), make("sliced-1")].slice(1),
  enabled && make("and-on"),
  !enabled && make("and-off"),
].concat([make("concat-1")], make("concat-2")).filter(Boolean) as any[];
