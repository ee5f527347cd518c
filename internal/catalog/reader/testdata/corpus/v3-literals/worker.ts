import { serve } from "inngest/bun";
import { inngest } from "./client";
import * as index from "./index";

const functions = Object.values(index).filter((v) => typeof v === "object" && v !== null && "opts" in v) as any[];
export default serve({ client: inngest, functions });
