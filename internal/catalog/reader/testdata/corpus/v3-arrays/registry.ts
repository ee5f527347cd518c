import { make } from "./client";

export const registry: ReturnType<typeof make>[] = [];
export function register(id: string) {
  const fn = make(id);
  registry.push(fn);
  return fn;
}
export const byName = new Map<string, ReturnType<typeof make>>();
