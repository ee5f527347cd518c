import { serve } from "inngest/bun";
import { inngest } from "./client";
import { functions } from "./index";

export default serve({ client: inngest, functions });
