export { jobOne as default } from "@corpus/jobs";
