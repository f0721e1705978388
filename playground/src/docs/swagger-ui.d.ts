/** What swagger-ui-bundle.js defines; only what is used. */
declare namespace SwaggerUI {
  interface Request {
    url: string;
    headers: Record<string, string>;
  }
  interface Ui {
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
}

declare function SwaggerUIBundle(options: SwaggerUI.Options): SwaggerUI.Ui;
