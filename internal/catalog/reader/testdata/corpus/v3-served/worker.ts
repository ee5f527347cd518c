import { serve } from "inngest/bun";
import { alsoServed, ing, notServed, served } from "./functions";

export { notServed };
const handler = serve({ client: ing, functions: [served, alsoServed], servePath: "/api/inngest" });
export const GET = handler;
export default handler;
