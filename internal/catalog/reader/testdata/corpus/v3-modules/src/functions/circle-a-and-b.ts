import { circleList } from "./circle-a";
export const [circleA, circleB] = circleList();
