import { define } from "@/client";
import { circleB } from "./circle-b";
export const PREFIX = "circle";
export const circleA = define(`${PREFIX}-a`);
export const circleList = () => [circleA, circleB];
