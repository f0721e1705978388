/** What swagger-ui-bundle.js defines; only what is used. */
declare namespace SwaggerUI {
  interface Request {
    url: string;
    headers: Record<string, string>;
  }
  interface Ui {
    preauthorizeApiKey(scheme: string, key: string): void;
  }
  interface System {
    React: { createElement(type: string, props: null, ...children: unknown[]): object };
  }
  interface Plugin {
    wrapComponents: Record<string, (original: unknown, system: System) => (props: { text: unknown }) => object>;
  }
  interface Options {
    domNode: Element;
    spec: object;
    deepLinking?: boolean;
    docExpansion?: "list" | "full" | "none";
    defaultModelsExpandDepth?: number;
    tryItOutEnabled?: boolean;
    plugins?: ((system: System) => Plugin)[];
    requestInterceptor?: (request: Request) => Request | Promise<Request>;
    onComplete?: () => void;
  }
}

declare function SwaggerUIBundle(options: SwaggerUI.Options): SwaggerUI.Ui;
