import { make } from "./client";
import { byName, register } from "./registry";

export const a = register("registered-a");
byName.set("x", make("mapped-x"));
