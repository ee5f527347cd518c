import { checkEmail } from "./check-email";

export const hostFunctionDefinitions = [checkEmail];
