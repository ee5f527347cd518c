import { approvalRequest, approvalResolve } from "./approval";
import { queueObserver, queueObserverRequested } from "./queue-observer";
import { storyPipeline } from "./story-pipeline";

export const clusterFunctionDefinitions = [
  approvalRequest,
  approvalResolve,
  queueObserver,
  queueObserverRequested,
  storyPipeline,
];
