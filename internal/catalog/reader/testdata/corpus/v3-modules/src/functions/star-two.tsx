/** @jsxRuntime classic */
/** @jsx h */
import { define } from "~client";
const h = (name: string, props: unknown, ...children: unknown[]) => ({ name, props, children });
const View = ({ title }: { title: string }) => <p className="x">{title} isn't {"it"}</p>;
export const starTwo = define("star-two", [View].length);
