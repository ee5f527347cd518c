import { make } from "./client";
import { byName, register } from "./registry";

register("registered-b");
byName.set("y", make("mapped-y"));
byName.set("y", make("mapped-y-again"));
