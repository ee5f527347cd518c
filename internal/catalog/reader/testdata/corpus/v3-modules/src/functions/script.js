import { define } from "../client.js";
/** @param {string} id */
const twice = (id) => [define(id + "-1"), define(id + "-2")];
export const [scriptOne, scriptTwo] = twice("script");
