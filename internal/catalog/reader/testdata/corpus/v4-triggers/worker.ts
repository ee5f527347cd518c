import { serve } from "inngest/bun";
import { app } from "./client";
import * as index from "./index";

export default serve({ client: app, functions: Object.values(index).flat() as any[] });
