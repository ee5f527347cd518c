import { serve } from "inngest/bun";
import client from "./src/client";
import * as index from "./src/index";

const isFunction = (v: any) => typeof v === "object" && v !== null && "opts" in v;
const { jobs, common, settled, ...rest } = index;
const functions = [...Object.values(rest), ...Object.values(jobs), ...common, ...settled].filter(isFunction) as any[];
export default serve({ client, functions });
