import type { CodegenConfig } from "@graphql-codegen/cli";

export default {
  schema: "../../semantic.graphql", // Made by `receipts-gateway schema --semantic-nullability`.
  documents: ["nullable/check.ts"],
  generates: {
    "nullable/gql/": {
      preset: "client",
      config: {
        nullability: { errorHandlingClient: true },
        useTypeImports: true,
        scalars: { DateTime: "string", URL: "string" },
      },
    },
  },
} satisfies CodegenConfig;
