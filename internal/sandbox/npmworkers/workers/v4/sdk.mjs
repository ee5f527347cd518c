import { Inngest } from "inngest";
import { serve } from "inngest/hono";

export const version = "v4";
export const makeClient = (options) => new Inngest(options);
export const makeFunction = (client, options, trigger, run) => client.createFunction({ ...options, triggers: [trigger] }, run);
export const makeHandler = (client, functions) => serve({ client, functions });
