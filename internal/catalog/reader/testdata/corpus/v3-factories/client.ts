import * as sdk from "inngest";

function createClient(id: string) {
  return new sdk.Inngest({ id });
}
let cached: sdk.Inngest | undefined;
export function getClient(): sdk.Inngest {
  cached ??= createClient("corpus");
  return cached;
}
export const events = createClient("corpus");
export class TracingInngest extends sdk.Inngest {
  created = 0;
  traced(id: string, event: string) {
    this.created += 1;
    return this.createFunction({ id: `traced-${id}-${this.created}` }, { event }, async () => {});
  }
}
