"""HTTP: the GraphQL endpoint, GraphiQL, health, and who may ask. It knows requests and answers, and nothing of Twilio."""
