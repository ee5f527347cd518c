import { make } from "./client";

export const zeta = make("ns-zeta");
export const alpha = make("ns-alpha", 1);
export const NOT_A_FUNCTION = 42;
export default make("ns-default");
