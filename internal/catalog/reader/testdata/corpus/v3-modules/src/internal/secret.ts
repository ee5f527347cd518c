import { define } from "~client";
export const secret = define("imports-field");
