"""nbgrader's view of this course: where things lie, and a grading step that student code cannot fool."""

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "minigrad"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "assignments"
c.CourseDirectory.submitted_directory = "submitted"
c.CourseDirectory.autograded_directory = "autograded"
c.CourseDirectory.feedback_directory = "feedback"
c.CourseDirectory.solution_directory = "published"
# The text from which a notebook is generated holds the solutions: it must not travel with the release.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "[0-9][0-9]_*.py"]
