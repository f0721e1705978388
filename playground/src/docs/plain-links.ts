/**
 * A plugin for Swagger UI: an operation's path is text.
 *
 * As published it is a link inside a button, of which neither a keyboard nor a screen reader can make
 * anything (axe: `nested-interactive`). The button still puts the operation into the address.
 */
export function plainLinks({ React }: SwaggerUI.System): SwaggerUI.Plugin {
  return {
    wrapComponents: {
      DeepLink: () => (props) => React.createElement("span", null, props.text),
    },
  };
}
