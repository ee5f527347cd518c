import { define } from "@corpus/kit";

export const jobOne = define("job-one");
export type Job = typeof jobOne;
