export * from "./define";
