import client from "../../client";
export const inFolder = client.createFunction({ id: "in-folder" }, { event: "m/folder" }, async () => {});
