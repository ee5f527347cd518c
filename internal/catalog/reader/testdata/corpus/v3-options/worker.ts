import { serve } from "inngest/bun";
import { bus } from "./client";
import { functions } from "./index";

export default serve({ client: bus, functions });
