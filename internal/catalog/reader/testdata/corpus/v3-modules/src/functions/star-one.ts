import { define } from "@/client";
export const starOne = define("star-one");
export const hidden = define("star-hidden");
export default define("star-default-is-not-exported");
