import type { CodegenConfig } from "@graphql-codegen/cli";

export default {
  schema: "../../schema.graphql", // Or the gateway's address.
  documents: ["{apollo,request,codegen}/*.ts"],
  generates: {
    "gql/": {
      preset: "client",
      presetConfig: {
        fragmentMasking: { unmaskFunctionName: "getFragmentData" },
        persistedDocuments: { hashAlgorithm: "sha256" },
      },
      config: { strictScalars: true, useTypeImports: true, scalars: { DateTime: "string", URL: "string" } },
    },
    "gql/introspection.json": { plugins: ["introspection"] },
  },
} satisfies CodegenConfig;
