export { client as default, client, define } from "@corpus/kit";
