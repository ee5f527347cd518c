import { define } from "@corpus/kit/lib/define";

export default define("job-extra", 2);
