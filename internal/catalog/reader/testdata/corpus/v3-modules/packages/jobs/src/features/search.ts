import * as kit from "@corpus/kit";

export const search = kit.define("job-search");
