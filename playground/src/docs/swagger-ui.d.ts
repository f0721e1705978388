declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  interface Request {
    url: string;
    headers: Record<string, string>;
  }
  interface SwaggerUI {
    preauthorizeApiKey(scheme: string, key: string): void;
  }
  interface Options {
    domNode: Element;
    spec: object;
    deepLinking?: boolean;
    docExpansion?: "list" | "full" | "none";
    defaultModelsExpandDepth?: number;
    tryItOutEnabled?: boolean;
    requestInterceptor?: (request: Request) => Request | Promise<Request>;
    onComplete?: () => void;
  }
  export default function SwaggerUIBundle(options: Options): SwaggerUI;
}
