import { EventSchemas, Inngest } from "inngest";

type Events = { "app/user.created": { data: { id: string } } };

export const inngest = new Inngest({ id: "corpus", schemas: new EventSchemas().fromRecord<Events>() });
