"""A conversation: messages, runs and decisions, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentrun_cli.chat.typed import HELP, LEAVE, followup_of, read_message
from agentrun_cli.connection.connection import Connection
from agentrun_cli.errors import CommandError, ExitStatus
from agentrun_cli.running.carrying_on import Ended, carry_on, how_to_go_on
from agentrun_cli.running.decisions import Decider
from agentrun_cli.running.following import exit_status
from agentrun_cli.showing.past import show_messages
from agentrun_cli.showing.view import RunView
from agentrun_cli.terminal.asking import Asker
from agentrun_cli.terminal.complaints import complain, remark
from agentrun_cli.terminal.safe_text import one_line
from agentrun_client import Media, Paused, RunOptions, RunStream, Stop

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class ChatOptions:
    """What is asked of every run; `media` goes with the first message alone."""

    agent: str
    options: RunOptions
    media: Sequence[Media] = ()
    followups: bool = True


@dataclass
class Conversation:
    """
    Asks for messages and shows their answers until somebody leaves.

    `answers` takes the answers as they come; without it, they are printed whole by `whole`.
    """

    connection: Connection
    chosen: ChatOptions
    asker: Asker
    decide: Decider
    screen: "Console"
    answers: "Console | None"
    session_id: str | None = None
    _offered: Sequence[str] = ()
    _media: Sequence[Media] = field(init=False)
    _status: ExitStatus = ExitStatus.DONE
    _was_interrupted: bool = False

    def __post_init__(self) -> None:
        self._media = self.chosen.media

    def show_past(self, session_id: str) -> None:
        """
        Show what was said in a session, and go on with it.

        Raises:
            NotFoundError: There is no such session.
        """
        show_messages(self.connection.client.sessions.messages(session_id), self.screen)
        self.session_id = session_id

    def resume(self, run_id: str) -> None:
        """
        Show a run from its beginning, decide what it waits for, and go on with its session.

        Raises:
            NotFoundError: There is no such run.
        """
        run = self.connection.client.runs.get(run_id)
        self.session_id = run.session_id
        self._follow(self.connection.client.runs.attach(run.agent_id, run_id), run.agent_id)

    def talk(self, *, is_interactive: bool) -> ExitStatus:
        """
        Go on until Ctrl-D, `/exit` or a second Ctrl-C; without a terminal, until the input ends.

        Returns:
            The exit status: without a terminal that of the last run that was not COMPLETED.
        """
        while True:
            try:
                typed = read_message(self.asker)
                self._was_interrupted = False
            except EOFError:
                if is_interactive:
                    self.screen.out("")
                return ExitStatus.DONE if is_interactive else self._status
            except KeyboardInterrupt:
                if self._was_interrupted:
                    return ExitStatus.INTERRUPTED
                self._was_interrupted = True
                remark("\nCtrl-C again, Ctrl-D or /exit leave")
                continue
            if typed.strip() in LEAVE:
                return ExitStatus.DONE
            self._take(typed)

    def _take(self, typed: str) -> None:
        match typed.strip():
            case "":
                pass
            case "/help":
                remark(HELP)
            case "/session":
                remark(self.session_id or "there is none yet")
            case _:
                self._say(followup_of(typed, self._offered) or typed)

    def _say(self, message: str) -> None:
        """Run the agent; what the API refuses is said, and the conversation goes on."""
        stream = self.connection.client.runs.stream(
            self.chosen.agent,
            message,
            session_id=self.session_id,
            media=self._media,
            options=self.chosen.options,
            generate_followups=self.chosen.followups,
        )
        try:
            with self.connection.complaining():
                self._follow(stream, self.chosen.agent)
        except CommandError as error:
            complain(str(error))
            self._status = error.exit_status
        else:
            self._media = ()

    def _follow(self, stream: RunStream, agent_id: str) -> None:
        view = RunView(self.screen, self.answers)
        ended = carry_on(self.connection.client, agent_id, stream, view, self.decide)
        self.session_id = ended.stream.session_id or self.session_id
        if self.answers is None:
            print(ended.stream.result().text, flush=True)
        self._tell(ended)

    def _tell(self, ended: Ended) -> None:
        status = exit_status(ended.end)
        if status is not ExitStatus.DONE:
            self._status = status
        self._offered = (ended.end.followups or ()) if isinstance(ended.end, Stop) else ()
        for number, question in enumerate(self._offered, start=1):
            self.screen.out(f"{number}. {one_line(question)}", style="dim", highlight=False)
        if isinstance(ended.end, Paused):
            remark(how_to_go_on(ended.agent_id, str(ended.stream.run_id)))
