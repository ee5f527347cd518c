export const PREFIX = "opt";
export const Retry = { none: 0, few: 2, many: 9 } as const;
export enum Trigger {
  Created = "item/created",
  Updated = "item/updated",
}
export enum Level {
  Low,
  Mid = 5,
  High,
}
export const enum Inlined {
  Cron = "7 3 * * *",
}
export namespace Names {
  export const audit = "audit";
  export function of(part: string) {
    return `${audit}-${part}`;
  }
}
export const list = ["first", "second", "third"];
export const nested = { deep: { ids: { one: "deep-one" }, retries: [1, 2, 3] } };
export default { fallback: "fallback-id" };
