import { Inngest } from "inngest";
import { serve } from "inngest/hono";

export const version = "v3";
export const makeClient = (options) => new Inngest(options);
export const makeFunction = (client, options, trigger, run) => client.createFunction(options, trigger, run);
export const makeHandler = (client, functions) => serve({ client, functions });
