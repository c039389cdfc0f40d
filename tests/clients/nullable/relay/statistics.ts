import { graphql } from "relay-runtime";

export const STATISTICS = graphql`
  query statisticsQuery($serviceSid: ID!) @throwOnFieldError {
    service(sid: $serviceSid) {
      deliveryStatistics { messages }
      failures(first: 1) { scan { unread } }
    }
  }
`;
