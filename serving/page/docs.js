/* The viewer knows OpenAPI 3.0; the document says 3.1 and keeps to what the two versions share. */
addEventListener("DOMContentLoaded", async () => {
  const spec = await (await fetch("openapi.json")).json();
  SwaggerUIBundle({ spec: { ...spec, openapi: "3.0.3" }, domNode: document.getElementById("swagger-ui"), validatorUrl: null });
});
