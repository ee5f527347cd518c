import { serve } from "inngest/bun";
import { events } from "./client";
import * as index from "./index";

const functions = (Object.values(index) as any[])
  .flatMap((v) => (Array.isArray(v) ? v : "opts" in v ? [v] : Object.values(v)))
  .filter((v) => v && "opts" in v);
export default serve({ client: events, functions });
